# The page for everybody, on a CPU, as a user without rights. Its files can be mounted read-only:
#   docker build --tag ask . && docker run --publish 7860:7860 --read-only --volume /tmp ask
FROM python:3.11-slim

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt

COPY app.py README.md LICENSE ./
COPY generator generator
COPY knowledge_bases knowledge_bases
COPY rag_app rag_app
COPY retriever retriever
COPY ui ui
RUN python -m rag_app kb build

RUN useradd --uid 1000 --create-home visitor
USER visitor
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/')"]
CMD ["python", "-m", "rag_app", "demo", "--public", "--host", "0.0.0.0"]
