"""Entry of the Hugging Face Space: serves the page with the embedded default."""

from rag_app.assembly import open_application
from rag_app.config import DEFAULT_PRESET, load_preset, var_folder
from rag_app.knowledge import find_knowledge
from ui.app import serve

if __name__ == "__main__":
    preset = load_preset(DEFAULT_PRESET)
    var = var_folder()
    serve(open_application(preset, find_knowledge(preset.knowledge_base, var), var=var))
