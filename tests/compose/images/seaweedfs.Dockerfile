FROM orchard-test/debian
COPY rclone /usr/bin/rclone
COPY weed /usr/bin/weed
