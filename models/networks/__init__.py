"""The networks that have a name: AlexNet, Network in Network, GoogLeNet, ResNet and smaller ones.

Each file builds one network's graph; `seeded` gives it random weights, `npz_weights` real ones.
Imports `models.graph`, `models.golden` and `models.quant`.
"""
