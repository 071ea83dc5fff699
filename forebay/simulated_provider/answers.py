"""The answers: decided by the seed and the request alone, the same to the byte each time.

Chat answers name the question and go on in prose that means nothing; with a JSON ``response_format`` they are
an object with one member, ``answer`` (a given schema is not followed). Tools are never called.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forebay.simulated_provider.prose import Prose
from forebay.simulated_provider.requests import CHARACTERS_PER_TOKEN, ChatRequest, EmbeddingRequest, count_tokens

CREATED: Final = 1_750_000_000
"""The moment every answer claims to be made at, so that equal requests have equal answers."""

_SUBJECT_CHARACTERS: Final = 48


@dataclass(frozen=True, slots=True)
class Choice:
    """One text of a chat answer."""

    text: str
    finish_reason: str


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A chat answer and what it used."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    input_tokens: int
    output_tokens: int

    @property
    def usage(self) -> dict[str, Any]:
        """The answer's ``usage`` member."""
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        }

    def body(self) -> dict[str, Any]:
        """Give the whole answer as one object."""
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": CREATED,
            "model": self.model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": choice.text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": choice.finish_reason,
                }
                for index, choice in enumerate(self.choices)
            ],
            "usage": self.usage,
            "system_fingerprint": "fp_simulated",
        }


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """Vectors of length 1 and what they used."""

    model: str
    vectors: tuple[NDArray[np.float32], ...]
    base64: bool
    input_tokens: int
    output_tokens: int = 0

    def body(self) -> dict[str, Any]:
        """Give the whole answer as one object."""
        write = _as_base64 if self.base64 else _as_floats
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": write(vector)}
                for index, vector in enumerate(self.vectors)
            ],
            "model": self.model,
            "usage": {"prompt_tokens": self.input_tokens, "total_tokens": self.input_tokens},
        }


class Author:
    """Writes the answers of one seed."""

    def __init__(self, seed: int, output_tokens: tuple[int, int]) -> None:
        """``output_tokens``: the shortest and the longest answer, the request allowing."""
        self._seed = str(seed).encode()
        self._shortest, self.longest = output_tokens
        self._prose = Prose(seed)

    def chat(self, asked: ChatRequest) -> ChatAnswer:
        """Answer a chat request."""
        digest = hashlib.sha256(b"\0".join((self._seed, asked.model.encode(), asked.prompt)))
        choices = tuple(self._choice(asked, digest.digest(), index) for index in range(asked.choices))
        return ChatAnswer(
            id=f"chatcmpl-{digest.hexdigest()[:24]}",
            model=asked.model,
            choices=choices,
            input_tokens=asked.prompt_tokens,
            output_tokens=sum(count_tokens(choice.text) for choice in choices),
        )

    def embed(self, asked: EmbeddingRequest) -> EmbeddingAnswer:
        """Answer an embeddings request. Equal texts get equal vectors; nothing else can be read from them."""
        vectors = tuple(self._vector(asked.model, text, asked.dimensions) for text in asked.inputs)
        return EmbeddingAnswer(asked.model, vectors, asked.base64, asked.prompt_tokens)

    def _choice(self, asked: ChatRequest, digest: bytes, index: int) -> Choice:
        draw = int.from_bytes(digest[:8]) + index * 0x9E3779B97F4A7C15
        characters = CHARACTERS_PER_TOKEN * (self._shortest + draw % (self.longest - self._shortest + 1))
        subject = " ".join(asked.text[:_SUBJECT_CHARACTERS].split())
        text = f'On "{subject}": {self._prose.cut(draw >> 8, characters)}'[:characters]
        text = text[: text.rfind(".") + 1] or text
        if asked.json_object:
            text = json.dumps({"answer": text})
        if asked.max_tokens is not None and count_tokens(text) > asked.max_tokens:
            return Choice(text[: asked.max_tokens * CHARACTERS_PER_TOKEN], "length")
        return Choice(text, "stop")

    def _vector(self, model: str, text: str, dimensions: int) -> NDArray[np.float32]:
        digest = hashlib.sha256(b"\0".join((self._seed, model.encode(), text.encode()))).digest()
        vector = np.random.default_rng(int.from_bytes(digest[:8])).standard_normal(dimensions, dtype=np.float32)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def _as_base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _as_floats(vector: NDArray[np.float32]) -> list[float]:
    return [round(number, 8) for number in vector.tolist()]
