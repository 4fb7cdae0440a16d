"""What single images say of a study."""
