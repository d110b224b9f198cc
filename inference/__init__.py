"""Frame in, result out: engines, YOLO and OCR decoding, optical flow, tracking, the pipeline.

Imports nothing else of the project; see ``docs/architecture.md`` for the import table.
"""
