"""A model in the files of other programs: ONNX for anyone, BoxMOT, ultralytics, torchvision's state dict."""
