"""OCR: triggering, detection and recognition of lines of text, and tracking of texts."""
