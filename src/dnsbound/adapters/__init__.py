"""Other people's servers, one file each: translate, ask the engine, translate back."""
