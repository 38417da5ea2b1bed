// The ports of the core on a Zynq, and the processor system's side of them.
//
// GP0 is an AXI3 master with 32-bit data and 12-bit ids: every access has the next id, and address,
// data and the readiness for answers come in an order and with delays that change each time.
// HP0 to HP3 are AXI3 slaves; memory.h moves their beats, here are the ids and AXI3's own rules.
#pragma once

#include <cstdint>
#include <cstdio>

#include "Vaccel.h"
#include "memory.h"

#define PIN_(port, name) port##___05F##name
#define PIN(port, name) PIN_(port, name)

#define PORT_DESC hp0
#define PORT_WGT hp1
#define PORT_ACT hp2
#define PORT_OUT hp3

namespace penstock {

constexpr unsigned kGpIds = 1u << 12;

class Registers {
public:
    explicit Registers(Vaccel& top) : top_(top) {}

    int response = -1;
    uint32_t value = 0;

    void reset() {
        end();
        held_b_ = held_r_ = false;
        // An access that was aborted expects no response.
        writing_ = reading_ = false;
    }

    void begin_write(uint32_t address, uint32_t data) {
        next();
        top_.PIN(gp0, awid) = id_;
        top_.PIN(gp0, awaddr) = address;
        top_.PIN(gp0, awlen) = 0;
        top_.PIN(gp0, awsize) = 2;
        top_.PIN(gp0, awburst) = 1;
        top_.PIN(gp0, wid) = id_;
        top_.PIN(gp0, wdata) = data;
        top_.PIN(gp0, wstrb) = 15;
        top_.PIN(gp0, wlast) = 1;
        writing_ = true;
    }

    void begin_read(uint32_t address) {
        next();
        top_.PIN(gp0, arid) = id_;
        top_.PIN(gp0, araddr) = address;
        top_.PIN(gp0, arlen) = 0;
        top_.PIN(gp0, arsize) = 2;
        top_.PIN(gp0, arburst) = 1;
        reading_ = true;
    }

    // Set the inputs of a cycle.
    void drive(Store&) {
        if (writing_) {
            if (age_ >= (delays_ & 3) && !address_done_) top_.PIN(gp0, awvalid) = 1;
            if (age_ >= (delays_ >> 2 & 3) && !data_done_) top_.PIN(gp0, wvalid) = 1;
            top_.PIN(gp0, bready) = age_ >= (delays_ >> 4 & 15);
        }
        if (reading_) {
            if (age_ >= (delays_ & 3) && !address_done_) top_.PIN(gp0, arvalid) = 1;
            top_.PIN(gp0, rready) = age_ >= (delays_ >> 4 & 15);
        }
        ++age_;
    }

    void sample(Store& store) {
        if (!writing_ && !reading_ && !top_.PIN(gp0, bvalid) && !top_.PIN(gp0, rvalid)) return;
        aw_ = top_.PIN(gp0, awvalid) && top_.PIN(gp0, awready);
        w_ = top_.PIN(gp0, wvalid) && top_.PIN(gp0, wready);
        ar_ = top_.PIN(gp0, arvalid) && top_.PIN(gp0, arready);
        const uint64_t b = uint64_t{top_.PIN(gp0, bid)} << 2 | top_.PIN(gp0, bresp);
        check(store, top_.PIN(gp0, bvalid), top_.PIN(gp0, bready), b, held_b_, last_b_, "a write");
        const uint64_t r = uint64_t{top_.PIN(gp0, rid)} << 35 |
                           uint64_t{top_.PIN(gp0, rdata)} << 3 | top_.PIN(gp0, rresp) << 1 |
                           top_.PIN(gp0, rlast);
        check(store, top_.PIN(gp0, rvalid), top_.PIN(gp0, rready), r, held_r_, last_r_, "a read");
        if (top_.PIN(gp0, bvalid)) {
            if (!writing_ || !address_done_ || !data_done_) {
                store.report("gp0", "an answer to a write that was not made", 0, 0);
            } else if (top_.PIN(gp0, bid) != id_) {
                store.report("gp0", "an answer to a write with another id", top_.PIN(gp0, awaddr), 1);
            }
            if (top_.PIN(gp0, bready)) response = top_.PIN(gp0, bresp);
        }
        if (top_.PIN(gp0, rvalid)) {
            if (!reading_ || !address_done_) {
                store.report("gp0", "an answer to a read that was not made", 0, 0);
            } else if (top_.PIN(gp0, rid) != id_) {
                store.report("gp0", "an answer to a read with another id", top_.PIN(gp0, araddr), 1);
            } else if (!top_.PIN(gp0, rlast)) {
                store.report("gp0", "no rlast at the last beat", top_.PIN(gp0, araddr), 1);
            }
            if (top_.PIN(gp0, rready)) {
                response = top_.PIN(gp0, rresp);
                value = top_.PIN(gp0, rdata);
            }
        }
    }

    void advance() {
        if (!writing_ && !reading_) return;
        if (aw_) top_.PIN(gp0, awvalid) = 0;
        if (ar_) top_.PIN(gp0, arvalid) = 0;
        if (w_) top_.PIN(gp0, wvalid) = 0;
        address_done_ |= aw_ || ar_;
        data_done_ |= w_;
        if (response >= 0) end();
    }

    void end() {
        top_.PIN(gp0, awvalid) = 0;
        top_.PIN(gp0, wvalid) = 0;
        top_.PIN(gp0, bready) = 0;
        top_.PIN(gp0, arvalid) = 0;
        top_.PIN(gp0, rready) = 0;
        writing_ = reading_ = false;
    }

    uint64_t outputs() const {
        return top_.PIN(gp0, awready) | top_.PIN(gp0, wready) << 1 | top_.PIN(gp0, bvalid) << 2 |
               top_.PIN(gp0, arready) << 3 | top_.PIN(gp0, rvalid) << 4;
    }

private:
    void next() {
        id_ = (id_ + 1) % kGpIds;
        delays_ = delays_ * 6364136223846793005ull + 1442695040888963407ull;
        delays_ = delays_ << 32 | delays_ >> 32;  // the high half is the good one
        age_ = 0;
        response = -1;
        address_done_ = data_done_ = false;
    }

    // An answer holds until it is taken.
    static void check(Store& store, bool valid, bool ready, uint64_t payload, bool& held,
                      uint64_t& last, const char* what) {
        if (held && (!valid || payload != last)) {
            char text[64];
            std::snprintf(text, sizeof text, "the answer to %s changed before it was taken", what);
            store.report("gp0", text, 0, 0);
        }
        held = valid && !ready;
        last = payload;
    }

    Vaccel& top_;
    unsigned id_ = 0;
    unsigned age_ = 0;
    uint64_t delays_ = 1;
    bool writing_ = false;
    bool reading_ = false;
    bool address_done_ = false;
    bool data_done_ = false;
    bool aw_ = false;
    bool w_ = false;
    bool ar_ = false;
    bool held_b_ = false;
    bool held_r_ = false;
    uint64_t last_b_ = 0;
    uint64_t last_r_ = 0;
};

// Rules of AXI3 for addresses beyond those of AXI4, and the ids of bursts in flight.
class Axi3Address {
public:
    explicit Axi3Address(const char* name) : name_(name) {}

    void sample(Store& store, bool valid, bool ready, unsigned id, unsigned lock, unsigned cache,
                unsigned size, unsigned burst, unsigned prot, uint32_t address) {
        const uint64_t payload = id | lock << 6 | cache << 8 | size << 12 | burst << 15 | prot << 17;
        if (held_ && (!valid || payload != last_)) {
            store.report(name_, "an id or attribute changed before it was accepted", address, 0);
        }
        held_ = valid && !ready;
        last_ = payload;
        if (!valid || !ready) return;
        // The HP ports know neither locked nor exclusive accesses.
        if (lock) store.report(name_, "a locked or exclusive burst", address, 0);
        if (cache >> 2 && !(cache & 2)) {
            store.report(name_, "a cache attribute AXI3 reserves", address, 0);
        }
        if (!ids_.full()) ids_.push(id);
    }

    bool any() const { return !ids_.empty(); }
    unsigned id() { return ids_.front(); }
    void pop() { ids_.pop(); }
    void clear() {
        ids_.clear();
        held_ = false;
    }

private:
    const char* name_;
    bool held_ = false;
    uint64_t last_ = 0;
    Ring<unsigned, 2 * kOutstanding> ids_;
};

class Rules {
public:
    explicit Rules(Vaccel& top)
        : top_(top), desc_("desc"), wgt_("wgt"), act_("act"), data_("out"), answers_("out") {}

    void reset() {
        desc_.clear();
        wgt_.clear();
        act_.clear();
        data_.clear();
        answers_.clear();
        held_ = false;
    }

    // Each answer has the id of its burst.
    void drive() {
        if (desc_.any()) top_.PIN(hp0, rid) = desc_.id();
        if (wgt_.any()) top_.PIN(hp1, rid) = wgt_.id();
        if (act_.any()) top_.PIN(hp2, rid) = act_.id();
        if (answers_.any()) top_.PIN(hp3, bid) = answers_.id();
    }

#define SAMPLE_READS(port, rules)                                                               \
    rules.sample(store, top_.PIN(port, arvalid), top_.PIN(port, arready), top_.PIN(port, arid), \
                 top_.PIN(port, arlock), top_.PIN(port, arcache), top_.PIN(port, arsize),       \
                 top_.PIN(port, arburst), top_.PIN(port, arprot), top_.PIN(port, araddr));      \
    if (top_.PIN(port, rvalid) && top_.PIN(port, rready) && top_.PIN(port, rlast)) rules.pop();

    void sample(Store& store) {
        SAMPLE_READS(hp0, desc_)
        SAMPLE_READS(hp1, wgt_)
        SAMPLE_READS(hp2, act_)
        const uint64_t payload = uint64_t{top_.PIN(hp3, wstrb)} << 8 | top_.PIN(hp3, wid);
        if (held_ && payload != last_) {
            store.report("out", "wid or wstrb changed before it was accepted", 0, 0);
        }
        held_ = top_.PIN(hp3, wvalid) && !top_.PIN(hp3, wready);
        last_ = payload;
        if (top_.PIN(hp3, wvalid) && top_.PIN(hp3, wready) && data_.any()) {
            if (top_.PIN(hp3, wid) != data_.id()) {
                store.report("out", "data of another id than the oldest burst's", 0, 0);
            }
            if (top_.PIN(hp3, wlast)) data_.pop();
        }
        if (top_.PIN(hp3, bvalid) && top_.PIN(hp3, bready)) answers_.pop();
        for (Axi3Address* queue : {&data_, &answers_}) {
            queue->sample(store, top_.PIN(hp3, awvalid), top_.PIN(hp3, awready), top_.PIN(hp3, awid),
                          top_.PIN(hp3, awlock), top_.PIN(hp3, awcache), top_.PIN(hp3, awsize),
                          top_.PIN(hp3, awburst), top_.PIN(hp3, awprot), top_.PIN(hp3, awaddr));
        }
    }

private:
    Vaccel& top_;
    Axi3Address desc_;
    Axi3Address wgt_;
    Axi3Address act_;
    Axi3Address data_;     // write bursts whose data is not complete
    Axi3Address answers_;  // write bursts without an answer
    bool held_ = false;
    uint64_t last_ = 0;
};

}  // namespace penstock
