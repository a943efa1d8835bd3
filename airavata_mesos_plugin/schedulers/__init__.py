"""What we speak to. `base` is the contract; one package or module per scheduler."""
