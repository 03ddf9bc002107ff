"""Answers of Graph about one pixel, as Meta's pages show them, with every part filled in."""

from typing import Any

PIXEL = "1729525464415281"

QUALITY: dict[str, Any] = {
    "web": [
        {
            "event_name": "Purchase",
            "event_match_quality": {
                "composite_score": 6.2,
                "match_key_feedback": [
                    {
                        "identifier": "email",
                        "coverage": {"percentage": 62.5},
                        "potential_aly_acr_increase": {"percentage": 58.96, "description": "…"},
                    },
                    {"identifier": "user_agent", "coverage": {"percentage": 100}},
                ],
                "diagnostics": [
                    {
                        "name": "Server sending mismatched IP addresses",
                        "description": "The addresses differ from those of the pixel.",
                        "solution": "Send the address of the customer.",
                        "percentage": 61.5,
                        "affected_event_count": 19567,
                        "total_event_count": 31830,
                    }
                ],
            },
            "event_coverage": {
                "percentage": 34.1,
                "goal_percentage": 75,
                "description": "…",
                "potential_aly_acr_increase": {"percentage": 35.8, "description": "…"},
            },
            "dedupe_key_feedback": [
                {
                    "dedupe_key": "event_id",
                    "browser_events_with_dedupe_key": {"percentage": 100, "description": "…"},
                    "server_events_with_dedupe_key": {"percentage": 98.5, "description": "…"},
                    "overall_browser_coverage_from_dedupe_key": {"percentage": 14.8},
                }
            ],
            "data_freshness": {"upload_frequency": "real_time", "description": "…"},
            "acr": {"percentage": 37.9, "description": "…"},
            "event_potential_aly_acr_increase": {"percentage": 12, "description": "…"},
        },
        {"event_name": "Lead"},
    ]
}


def error(code: int, **more: Any) -> dict[str, Any]:
    """An error of Graph's, in a language that nobody should look at."""
    return {
        "error": {
            "message": "Tentative d'accès à un champ inexistant",
            "type": "OAuthException",
            "code": code,
            "fbtrace_id": "A1",
            **more,
        }
    }
