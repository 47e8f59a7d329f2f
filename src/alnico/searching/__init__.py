"""Ask and tell over a space of choices: a study that can go on where it stopped."""
