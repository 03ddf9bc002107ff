"""Makes the JSON of the dashboards in ``helm/files/dashboards``; ``docs/generate.py`` writes it."""
