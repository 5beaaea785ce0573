"""Autoencoders of latent diffusion models, and their published weights."""
