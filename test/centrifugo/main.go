// A real Centrifugo server in place of the BitPin fake: the `centrifuge` library with JSON protocol 2, anonymous clients, history
// and recovery for `matches:` channels. What a test wants of it comes over HTTP on the same port:
//
//	POST /publish?channel=C      the body goes to the channel
//	POST /disconnect?code=N      every client is sent away with that code
//	POST /forget?channel=C       the channel's history is gone: a new epoch
//	POST /unsubscribe?channel=C&code=N
//	GET  /clients                how many there are
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: ""}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(event centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			if !strings.HasPrefix(event.Channel, "matches:") || strings.HasPrefix(event.Channel, "matches:DENIED") {
				reply(centrifuge.SubscribeReply{}, centrifuge.ErrorPermissionDenied)
				return
			}
			reply(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: true}}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: time.Second, PongTimeout: 500 * time.Millisecond},
		CheckOrigin:    func(*http.Request) bool { return true },
	}))
	control := func(path string, act func(*http.Request) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := act(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	control("/publish", func(r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		_, err = node.Publish(r.URL.Query().Get("channel"), body, centrifuge.WithHistory(100, time.Minute))
		return err
	})
	control("/disconnect", func(r *http.Request) error {
		code, err := strconv.ParseUint(r.URL.Query().Get("code"), 10, 32)
		if err != nil {
			return err
		}
		for _, client := range node.Hub().Connections() {
			client.Disconnect(centrifuge.Disconnect{Code: uint32(code), Reason: "told to"})
		}
		return nil
	})
	control("/forget", func(r *http.Request) error { return node.RemoveHistory(r.URL.Query().Get("channel")) })
	control("/unsubscribe", func(r *http.Request) error {
		code, err := strconv.ParseUint(r.URL.Query().Get("code"), 10, 32)
		if err != nil {
			return err
		}
		for _, client := range node.Hub().Connections() {
			client.Unsubscribe(r.URL.Query().Get("channel"), centrifuge.Unsubscribe{Code: uint32(code), Reason: "told to"})
		}
		return nil
	})
	mux.HandleFunc("GET /clients", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, node.Hub().NumClients())
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	// It ends with the test that holds its standard input.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(http.Serve(listener, mux))
}
