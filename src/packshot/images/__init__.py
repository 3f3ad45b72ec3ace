"""Opening what people give: image files, videos, ZIPs and what lies beside them. Knows no project."""
