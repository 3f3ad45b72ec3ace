"""Images from prompts, and how near they come to the product and to the prompt."""
