/**
 * POST /rpc/TOPIC: publish the body as a request, wait for the reply, answer with it.
 *
 *      caller            gateway                                   device
 *        | POST /rpc/lamp  |                                          |
 *        |---------------->| PUBLISH lamp                             |
 *        |                 |   Response Topic $tidegate/rpc/../ID     |
 *        |                 |   Correlation Data ID                    |
 *        |                 |----------------------------------------->|
 *        |            200  | PUBLISH $tidegate/rpc/../ID              |
 *        |<----------------|<-----------------------------------------|
 *
 * A call is known by its reply topic alone, so the device need not send the correlation data back. Each worker has one standing
 * session that is subscribed to the reply topics of its calls; below "$tidegate" nobody else can be.
 *
 * A device that knows no properties (MQTT 3.1.1) replies to a topic of its own: the caller names it in reply=TOPIC. A level ":id" in the
 * topic and in reply is replaced by the call's id, as in /rpc/lamp/request/:id?reply=lamp/response/:id. Without it, replies go to
 * the calls that wait for that topic in the order in which they came.
 */
#ifndef WEB_RPC_H
#define WEB_RPC_H

struct http_request;
struct rpc;

/** The handler of POST /rpc/... */
void rpc_post(struct http_request *request);

/** Free a worker's RPC, whose calls and session have ended; NULL is a no-op. */
void rpc_free(struct rpc *rpc);

#endif
