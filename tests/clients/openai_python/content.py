"""Pictures and files, and what is refused of them."""

import base64
import json
import struct
import zlib

import openai
from openai import OpenAI

client = OpenAI(max_retries=0)


def png(filler=0):
    """Two pixels by two, and as many bytes behind them as are asked for."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\xff\0\0" * 2) * 2)
    head = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"") + b"\0" * filler


def url(kind, data):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def ask(*parts):
    messages = [{"role": "user", "content": list(parts)}]
    return client.chat.completions.create(model="sonnet", messages=messages).choices[0].message.content


def refused(*parts):
    try:
        ask(*parts)
    except openai.OpenAIError as error:
        return [type(error).__name__, error.param, error.code]


def image(address):
    return {"type": "image_url", "image_url": {"url": address}}


text = {"type": "text", "text": "What is in them?"}
pdf = url("application/pdf", b"%PDF-1.4 x")
far = "https://example.com/x.png"
told = {
    "chat": ask(
        text,
        image(url("image/png", png())),
        image(far),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
    ),
    "responses": client.responses.create(
        model="sonnet",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is in them?"},
                    {"type": "input_image", "image_url": url("image/png", png()), "detail": "auto"},
                    {"type": "input_image", "image_url": far, "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": pdf},
                ],
            }
        ],
    ).output_text,
    "no_image": refused(text, image(url("image/png", b"no image"))),
    "too_large": refused(text, image(url("image/png", png(5 * 1024 * 1024)))),
    "audio": refused({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
}
print(json.dumps(told))
