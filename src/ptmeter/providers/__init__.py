"""
The LLM providers' side: how their tokens are counted, what they charge, what they report as used.

It owns tokenizers, price catalogues and usage readers. What always holds: nothing is fetched, classes of
tokens are disjoint and sum to the provider's total, and an unknown model or missing usage is an error,
never a zero. It must not know accounts, wallets or databases.
"""
