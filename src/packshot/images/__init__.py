"""Reading users' files: images, videos, ZIPs and side-cars. Independent of projects."""
