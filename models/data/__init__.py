"""Files that ship: photographs, samples, trained networks and the names of ImageNet's classes.

Imports nothing of ours.  Code that makes or reads networks belongs elsewhere.
"""
