"""Keys, certificates and raw public keys, and how a TLSA record is made from them and matched against them."""
