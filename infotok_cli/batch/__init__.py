"""Many videos to .itk files: which ones, in which shard, what is done already, and what came of them."""
