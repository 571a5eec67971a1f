#!/bin/sh
# Makes an authority (ca.pem) and servers' certificates of it in the present folder: good, old, early, other (NAME.pem, NAME.key).
set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj "/CN=Berth test authority" -days 2
leaf() { # NAME NAMES START END
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
    : > index.txt
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=x\n' > ca.cnf
    printf '[p]\ncommonName=supplied\n[x]\nsubjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$2" >> ca.cnf
    openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in "$1.csr" -out "$1.pem" -startdate "$3" -enddate "$4" -notext
}
leaf good "IP:127.0.0.1,DNS:localhost" 20200101000000Z 20491231000000Z
leaf old "IP:127.0.0.1,DNS:localhost" 20200101000000Z 20210101000000Z
leaf early "IP:127.0.0.1,DNS:localhost" 20480101000000Z 20490101000000Z
leaf other "DNS:elsewhere.example" 20200101000000Z 20490101000000Z
