"""The DNS without input and output: messages, validation, denial, chains, caching, signing, answering."""
