#!/usr/bin/env python3
"""inbox.py PORT FOLDER - takes mail on 127.0.0.1 and keeps each message as FOLDER/N.eml."""

import os
import sys
import time

from receiver import Receiver


def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    receiver = Receiver(addresses=[("127.0.0.1", port)]).start()
    count = 0
    while receiver.running():
        while count < len(receiver.messages):
            count += 1
            draft = os.path.join(folder, "draft")
            with open(draft, "wb") as file:
                file.write(receiver.messages[count - 1].content)
            os.rename(draft, os.path.join(folder, f"{count}.eml"))
        time.sleep(0.1)


if __name__ == "__main__":
    main()
