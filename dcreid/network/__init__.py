"""The network φ(θ; x): a torchvision backbone, pooling, and the optional head."""
