"""The tables of bad inputs as data: each row with what is sent for it and what must come back."""
