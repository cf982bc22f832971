/* What a TLS handshake agreed on, as Received and the log print it. */
#ifndef PROXY_TLS_FACTS_H
#define PROXY_TLS_FACTS_H

/* Strings are constants or live as long as the connection. */
struct tls_facts {
    const char *version; /* "TLS1_3" */
    const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
};

#endif
