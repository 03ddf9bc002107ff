// Builds one event with the generated structs and prints it, in Confluent's framing, as hex.
package main

import (
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hamba/avro/v2"
)

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	encoded, err := avro.Marshal(avro.MustParse(string(text)), event())
	if err != nil {
		log.Fatal(err)
	}
	schemaID := []byte{0, 0, 0, 0, 7}
	fmt.Println(hex.EncodeToString(append(schemaID, encoded...)))
}

func event() ConversionEvent {
	when := time.UnixMilli(1795000000123)
	return ConversionEvent{
		EventName:    "Purchase",
		EventTime:    when,
		EventID:      some("order_1"),
		ActionSource: some("website"),
		Value:        some(42.5),
		Currency:     some("USD"),
		NumItems:     some(int64(2)),
		OptOut:       some(false),
		Items: &[]ConversionItem{{
			ID:       some("sku_1"),
			Name:     some("Blue shirt"),
			Quantity: some(int64(2)),
			Price:    some(21.25),
		}},
		CustomData:    &map[string]string{"plan": "gold"},
		CustomNumbers: &map[string]float64{"seats": 5},
		Attribution:   &ConversionAttribution{VisitTime: &when},
		User: ConversionUser{
			Email:    some("customer@example.com"),
			Phones:   &[]string{"+14155551234"},
			ClickIds: &ConversionClickIds{Fbclid: some("AbC"), FbclidTime: &when},
		},
	}
}

func some[T any](value T) *T {
	return &value
}
