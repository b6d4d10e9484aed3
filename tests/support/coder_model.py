"""A language model of some ten thousand parameters that writes programs for the problem of these tests, at random.

It writes `return x + D.DD` with uniformly distributed digits; the smaller the number, the better the program.
"""

from pathlib import Path

from tiny_model import word_tokenizer

LINE = "    return x + "
STEPS = 100


def pretrain(folder: Path) -> None:
    """Trains the model to write such a line after any text and then to end; saves it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # such small steps are slower with more
    torch.manual_seed(0)
    words = ["<pad>", "<bos>", "<eos>", LINE, ".", "\n", *"0123456789"]
    tokenizer = word_tokenizer(words, r"    return x \+ |[0-9.]|\n")
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=256,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        batch = torch.randint(0, len(words), (64, int(torch.randint(10, 100, ()))))
        batch[:, 0] = 1
        batch[:, -7:] = torch.tensor([words.index(word) for word in (LINE, "0", ".", "0", "0", "\n", "<eos>")])
        for place in (-6, -4, -3):
            batch[:, place] = torch.randint(words.index("0"), len(words), (64,))
        labels = batch.clone()
        labels[:, :-7] = -100
        loss = model(input_ids=batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
