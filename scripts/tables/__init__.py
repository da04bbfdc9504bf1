"""What remakes pages and tables of the results that are committed."""
