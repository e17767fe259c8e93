"""What models really take, and what there is to take: measured, against what was reckoned."""
