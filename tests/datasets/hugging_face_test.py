#!/usr/bin/env python3
"""Ids of random tokenizers on random texts against Hugging Face's `tokenizers`.

hugging_face_test.py TOKENIZE_TEXTS
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import peer_python

ROUNDS = 40
TEXTS = 25  # a round

CHARACTERS = [
    "abcdefghij ABC 0123456789 '.,-()[]{}<>|/\\\"#", " \t\n\r\n\r\n  \u00a0\u2009\u3000\u0085\u2028",
    "éàüñçßøœÅ", "e\u0301a\u0300n\u0303u\u0308\u0327\u0307\u0323", "中文字かなカナ한국어", "\u1100\u1161\u11a8\u1112",
    "🙂👩‍👩‍👧🇫🇷👍🏽", "ﬁﬂ①²½Ⅳ㎏", "עבריתعربي", "\u09c7\u09be\u0b47\u0b3e\u0dd9\u0dcf\u0bc6\u0bbe", "\ufeff\u200b\u200d\u00ad\0\x7f",
]
WORDS = ["the", "cat", "sat", "don't", "we'll", "I'M", "naïve", "café", "cafe\u0301", "x1", "2024", "...", "\r\n", "  ", "ſ's", "İ"]


def random_text(rng, specials):
    parts = []
    for _ in range(rng.randrange(12)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(WORDS) + rng.choice(["", " ", " ", "\n"]))
        elif kind < 0.8:
            block = rng.choice(CHARACTERS)
            parts.append("".join(rng.choice(block) for _ in range(rng.randrange(1, 7))))
        elif specials:
            parts.append(rng.choice(["", " ", "\u3000", "\n"]) + rng.choice(specials) + rng.choice(["", " ", "\t "]))
    return "".join(parts)


def byte_level(rng, tk):
    """GPT-2's kind, with a random normalizer and pre-tokenizer; also as vocab.json and merges.txt where those can say it."""
    tokenizer = tk.Tokenizer(tk.models.BPE())
    forms = [tk.normalizers.NFC(), tk.normalizers.NFD(), tk.normalizers.NFKC(), tk.normalizers.NFKD()]
    normalizer = rng.choice([None, None, *forms, tk.normalizers.Sequence([forms[0], tk.normalizers.Replace("a", "bb")])])
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    prefix = rng.random() < 0.3
    level = tk.pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    qwen = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = tk.pre_tokenizers.Sequence([tk.pre_tokenizers.Split(tk.Regex(qwen), "isolated"),
                                        tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    plain = rng.random() < 0.6
    tokenizer.pre_tokenizer = level if plain else split
    trainer = tk.trainers.BpeTrainer(vocab_size=256 + rng.randrange(200), initial_alphabet=tk.pre_tokenizers.ByteLevel.alphabet(),
                                     show_progress=False)
    tokenizer.train_from_iterator([random_text(rng, []) for _ in range(200)], trainer)
    config = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": prefix} if plain and normalizer is None else None
    if not plain and normalizer is forms[0]:
        config = {"tokenizer_class": "Qwen2Tokenizer"}
    return tokenizer, config


def llama(rng, tk):
    """SentencePiece's kind: characters, byte fallback, and a mark for spaces by a normalizer or a pre-tokenizer."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    letters = list("▁abcdefghijABC0123456789.,é中\n")
    merges, words = [], list(letters)
    for _ in range(80):
        left, right = rng.choice(words), rng.choice(words)
        if left + right not in words and len(left + right) < 8:
            merges.append((left, right))
            words.append(left + right)
    vocab = {piece: i for i, piece in enumerate(pieces + words)}
    tokenizer = tk.Tokenizer(tk.models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if rng.random() < 0.5:
        tokenizer.normalizer = tk.normalizers.Sequence([tk.normalizers.Prepend("▁"), tk.normalizers.Replace(" ", "▁")])
    else:
        scheme = rng.choice(["always", "first", "never"])
        tokenizer.pre_tokenizer = tk.pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    return tokenizer, None


def add_tokens(rng, tk, tokenizer):
    contents = rng.sample(["<|end|>", "<|endof|>", "<pad>", "[X]", "é!", "e\u0301?", "ﬁ", "<a", "<ab>"], 4)
    for content in contents:
        tokenizer.add_tokens([tk.AddedToken(content, lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3,
                                            normalized=rng.random() < 0.4, single_word=False)])
    return contents


def ours(program, folder, texts):
    run = subprocess.run([program, str(folder)], input=json.dumps(texts), capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{folder}: {run.stderr}")
    return json.loads(run.stdout)


def compare(name, folder, tokenizer, texts, results):
    failed = 0
    for text, result in zip(texts, results):
        expected = tokenizer.encode(text, add_special_tokens=False).ids
        ends = result.get("ends", [])
        sound = ends == sorted(ends) and (not ends or ends[-1] <= len(text.encode()))
        if result.get("ids") != expected or not sound:
            failed += 1
            if failed < 3:
                print(f"{name}: {text!r}\n  expected {expected}\n  got      {result}", file=sys.stderr)
    return failed


def spans(tokenizer, texts, results):
    """Without a normalizer or prefix an id stands for exactly the bytes of its piece."""
    alphabet = {c: b for b, c in byte_characters().items()}
    wrong = 0
    for text, result in zip(texts, results):
        begin = 0
        data = text.encode()
        for token, end in zip(result["ids"], result["ends"]):
            piece = bytes(alphabet[c] for c in tokenizer.id_to_token(token))
            wrong += piece != data[begin:end]
            begin = end
        wrong += begin != len(data)
    return wrong


def byte_characters():
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in own]
    return {**{byte: chr(byte) for byte in own}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def write_forms(folder, tokenizer, config, rng):
    """tokenizer.json; where a class can say it, also vocab.json + merges.txt with the added tokens beside them."""
    forms = [folder / "json"]
    forms[0].mkdir(parents=True)
    tokenizer.save(str(forms[0] / "tokenizer.json"))
    content = json.loads(tokenizer.to_str())
    decoder = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in content["added_tokens"]}
    apart = folder / "apart"  # the same, but the added tokens stand in tokenizer_config.json
    apart.mkdir()
    (apart / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    (apart / "tokenizer.json").write_text(json.dumps({**content, "added_tokens": []}))
    forms.append(apart)
    if config:
        slow = folder / "slow"
        slow.mkdir()
        tokenizer.model.save(str(slow))
        (slow / "tokenizer_config.json").write_text(json.dumps({**config, "added_tokens_decoder": decoder}))
        if rng.random() < 0.5:
            (slow / "added_tokens.json").write_text(json.dumps({t["content"]: t["id"] for t in content["added_tokens"]}))
        forms.append(slow)
    return forms


def check(program):
    import tokenizers as tk
    import tokenizers.models, tokenizers.normalizers, tokenizers.pre_tokenizers, tokenizers.trainers  # noqa: E401,F401

    failed = texts_seen = forms_seen = 0
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(ROUNDS):
            rng = random.Random(number)
            tokenizer, config = rng.choice([byte_level, byte_level, llama])(rng, tk)
            bare = tokenizer.normalizer is None and "add_prefix_space\": true" not in json.dumps(json.loads(tokenizer.to_str()))
            is_bytes = "ByteLevel" in tokenizer.to_str()
            specials = add_tokens(rng, tk, tokenizer) if number % 4 else []
            texts = [random_text(rng, specials) for _ in range(TEXTS)]
            for form in write_forms(Path(temporary) / str(number), tokenizer, config, rng):
                results = ours(program, form, texts)
                failed += compare(f"round {number}, {form.name}", form, tokenizer, texts, results)
                if is_bytes and bare and not specials:
                    failed += spans(tokenizer, texts, results)
                texts_seen += len(texts)
                forms_seen += 1
    print(f"{ROUNDS} tokenizers in {forms_seen} forms, {texts_seen} texts, {failed} differ from tokenizers {tk.__version__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(peer_python.main("tokenizers", lambda: check(sys.argv[1])))
