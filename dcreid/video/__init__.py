"""From video to tracklets: the boxes of a tracker's file, cut out of the frames that they lie in."""
