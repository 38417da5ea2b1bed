"""Screening for QR codes: pictures that teach it, training, and evaluation."""
