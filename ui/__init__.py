"""The web page: one file a tab, no knowledge of models. Only this package imports gradio."""
