"""Screening for QR codes: synthetic pictures, training, and evaluation."""
