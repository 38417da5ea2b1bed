// The ports of the core by itself: AXI4 masters and AXI4-Lite registers.
#pragma once

#include <cstdint>

#include "Vaccel.h"
#include "memory.h"

// Verilator spells the second of two underscores in a name as ___05F does here.
#define PIN_(port, name) port##___05F##name
#define PIN(port, name) PIN_(port, name)

#define PORT_DESC m_desc
#define PORT_WGT m_wgt
#define PORT_ACT m_act
#define PORT_OUT m_out

namespace penstock {

// The processor's side of the registers: one access at a time.
class Registers {
public:
    explicit Registers(Vaccel& top) : top_(top) {}

    int response = -1;
    uint32_t value = 0;

    void reset() { end(); }

    void begin_write(uint32_t address, uint32_t data) {
        top_.PIN(csr, awaddr) = address;
        top_.PIN(csr, wdata) = data;
        top_.PIN(csr, wstrb) = 15;
        address_due_ = data_due_ = true;
        begin();
    }

    void begin_read(uint32_t address) {
        top_.PIN(csr, araddr) = address;
        read_due_ = true;
        begin();
    }

    // Set the inputs of a cycle; each channel is held back as those of the memory are.
    void drive(Store& store) {
        if (!active_) return;
        raise(store, address_due_, top_.PIN(csr, awvalid));
        raise(store, data_due_, top_.PIN(csr, wvalid));
        raise(store, read_due_, top_.PIN(csr, arvalid));
        top_.PIN(csr, bready) = top_.PIN(csr, rready) = !store.refuses();
    }

    // Look at the settled handshakes of a cycle.
    void sample(Store&) {
        if (!active_) return;
        aw_ = top_.PIN(csr, awvalid) && top_.PIN(csr, awready);
        w_ = top_.PIN(csr, wvalid) && top_.PIN(csr, wready);
        ar_ = top_.PIN(csr, arvalid) && top_.PIN(csr, arready);
        if (top_.PIN(csr, bready) && top_.PIN(csr, bvalid)) response = top_.PIN(csr, bresp);
        if (top_.PIN(csr, rready) && top_.PIN(csr, rvalid)) {
            response = top_.PIN(csr, rresp);
            value = top_.PIN(csr, rdata);
        }
    }

    // After the clock edge that ends the cycle of `sample`.
    void advance() {
        if (!active_) return;
        if (aw_) top_.PIN(csr, awvalid) = 0;
        if (w_) top_.PIN(csr, wvalid) = 0;
        if (ar_) top_.PIN(csr, arvalid) = 0;
    }

    void end() {
        active_ = address_due_ = data_due_ = read_due_ = false;
        top_.PIN(csr, awvalid) = 0;
        top_.PIN(csr, wvalid) = 0;
        top_.PIN(csr, bready) = 0;
        top_.PIN(csr, arvalid) = 0;
        top_.PIN(csr, rready) = 0;
    }

    uint64_t outputs() const {
        return top_.PIN(csr, awready) | top_.PIN(csr, wready) << 1 | top_.PIN(csr, bvalid) << 2 |
               top_.PIN(csr, arready) << 3 | top_.PIN(csr, rvalid) << 4;
    }

private:
    void begin() {
        active_ = true;
        response = -1;
    }

    static void raise(Store& store, bool& due, uint8_t& valid) {
        if (!due || store.refuses()) return;
        due = false;
        valid = 1;
    }

    Vaccel& top_;
    bool active_ = false;
    bool address_due_ = false;
    bool data_due_ = false;
    bool read_due_ = false;
    bool aw_ = false;
    bool w_ = false;
    bool ar_ = false;
};

// Rules of the ports beyond those of memory.h.
class Rules {
public:
    explicit Rules(Vaccel&) {}
    void reset() {}
    void drive() {}
    void sample(Store&) {}
};

}  // namespace penstock
