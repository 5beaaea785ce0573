"""Published pretrained networks, one folder each."""
