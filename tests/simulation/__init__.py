"""The whole group in memory under virtual time: one seed is one story, told again to the letter."""
