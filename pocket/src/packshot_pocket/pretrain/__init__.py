"""Pretraining the bundled base: from rendered images to a Stable Diffusion 1.x folder.

One stage after the other, each resumable: pack, clip, vae, latents, unet, export.
"""
