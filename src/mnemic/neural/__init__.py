"""Layers that memorise at test time: one interface, and the architectures of the literature as layers with names.

Names come from where they live on first use: this import pulls no torch. They need the extra ``[torch]``.
"""
