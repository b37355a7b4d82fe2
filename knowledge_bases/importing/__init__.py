"""Reads people's own files: tables, documents, Wikipedia dumps, folders and zip archives of these, with pictures."""
