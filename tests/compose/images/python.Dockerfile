FROM orchard-test/debian
COPY wheels /wheels
RUN python3 -m venv /usr/local && printf '[global]\nno-index = true\nfind-links = /wheels\n' > /etc/pip.conf
