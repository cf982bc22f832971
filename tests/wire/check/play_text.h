/* Lines that many scripts of play.h share. */
#ifndef WIRE_PLAY_TEXT_H
#define WIRE_PLAY_TEXT_H

#define INI \
    "[server]\nhostname = mx.local.example\n[relay]\ndomains = local.example, *.sub.example, m\xc3\xbcller.example\n" \
    "networks = 198.51.100.0/24\n[backend]\nservers = 192.0.2.10:25\n[limits]\nmessage_size = 1000k\n"

/* The client says hello and names a sender. */
#define HELLO \
    "N< 220 mx.local.example ESMTP Postern\nN> EHLO c.example\n" \
    "N< 250-mx.local.example\\r\\n250-PIPELINING\\r\\n250-ENHANCEDSTATUSCODES\\r\\n250 SIZE 1024000\n"
#define SENDER "N> MAIL FROM:<a@sender.example>\nN< 250 2.1.0 Sender OK\n"
#define NORTH HELLO SENDER

/* The gateway asks the back end. */
#define BACK_END \
    "S< 220 backend.example ESMTP\nS> EHLO mx.local.example\nS< 250-backend.example\\r\\n250-PIPELINING\\r\\n250 " \
    "SIZE 52428800\n"
#define SOUTH_MAIL "S> MAIL FROM:<a@sender.example>\nS< 250 2.1.0 OK\n"
#define SOUTH BACK_END SOUTH_MAIL

/* A whole transaction up to its recipient. */
#define RECIPIENT(path) \
    NORTH "N> RCPT TO:<" path ">\n" SOUTH "S> RCPT TO:<" path ">\nS< 250 2.1.5 OK\nN< 250 2.1.5 OK\n"
#define ACCEPTED RECIPIENT("v@local.example")

/* A message, as the client and as the gateway sends it, each with the end that it has. */
#define RECEIVED "Received: from c.example by mx.local.example; Sun, 22 Nov 2026 19:00:00 +0000\\r\\n"
#define NORTH_DATA(text) "N> DATA\nN< 354 go on\nN} " text "\nN} .\\r\\n\n"
#define SOUTH_DATA(text) "S> DATA\nS< 354 go on\nS} " text "\nS} .\\r\\n\n"
#define TAKEN "S< 250 2.0.0 Taken\nN< 250 2.0.0 Taken\n"
#define REFUSED "N< 550 5.5.2 Message contains a bare LF\n"
#define QUIT "N> QUIT\nN< 221 2.0.0 Bye\n"
#define MESSAGE(north, south) ACCEPTED NORTH_DATA(north) SOUTH_DATA(south) TAKEN QUIT
#define TEXT "Subject: x\\r\\n\\r\\nhello\\r\\n"

#endif
