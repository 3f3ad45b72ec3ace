"""How the bundled base is made: pictures of the rendered world to a Stable Diffusion 1.x folder.

One stage after the other, each resumable: pack, clip, vae, latents, unet, export.
"""
