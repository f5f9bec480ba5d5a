"""The arithmetic of recognition: distances, ranks, telling known from unknown, averages and their intervals."""
