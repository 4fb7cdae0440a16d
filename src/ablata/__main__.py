"""`python -m ablata`, the form that torchrun and worker processes start."""

from ablata.cli.main import main

if __name__ == "__main__":
    main()
