"""UniXcoder in its encoder-only mode (Guo et al., 2022, "UniXcoder: Unified Cross-Modal Pre-training")."""

from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from src.backbones.transformer import TransformerEncoder
from src.utils.errors import InputError

MODE = "<encoder-only>"


class UniXcoderEncoder(TransformerEncoder):
    """A `TransformerEncoder` with texts of the form `<s> <encoder-only> </s> text </s>`; all four tokens count.

    As published with microsoft/unixcoder-base, whose embedding is the mean over all of these (`pooling: mean`).

    Raises InputError: on first use, a tokenizer that does not know `<encoder-only>` as one token.
    """

    def _prepared(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
        # By id instead of as text, which would be split into pieces unless the mode is a special token.
        ids = {
            token: tokenizer.convert_tokens_to_ids(token) for token in (tokenizer.cls_token, MODE, tokenizer.sep_token)
        }
        if ids[MODE] is None or ids[MODE] == tokenizer.unk_token_id:
            raise InputError(
                f"backbone=unixcoder needs a tokenizer that knows {MODE} as one token, and that of "
                f"backbone.name={self.name!r} does not; set backbone.name=microsoft/unixcoder-base or backbone=hf"
            )
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=[tokenizer.cls_token, MODE, tokenizer.sep_token, "$A", tokenizer.sep_token],
            special_tokens=list(ids.items()),
        )
        return super()._prepared(tokenizer)
